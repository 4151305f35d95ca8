metadata description = 'A container of the organization\'s central storage, as a datastore that jobs read.'

@description('Name of the workspace.')
param workspaceName string

@description('Name of the datastore: letters, digits and underscores. azureml/data/ names it the same in every environment.')
param name string

@description('Resource id of the storage account; it may be in another subscription.')
param storageId string

@description('Name of the container.')
param containerName string

@description('Object id of the identity that jobs run as.')
param trainingPrincipalId string

@description('Object id of the identity of the workspace itself. Empty: another container of the account has brought the private endpoint.')
param workspacePrincipalId string

@description('True where jobs reach the storage through a private endpoint of the managed network.')
param hasManagedNetwork bool

@description('True gives the roles as well, which takes an administrator of the storage account.')
param asAdministrator bool

var path = split(storageId, '/')

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

module roles 'central-data-roles.bicep' = if (asAdministrator) {
  name: 'central-data-roles-${uniqueString(workspace.id, name)}'
  scope: resourceGroup(path[2], path[4])
  params: {
    storageName: path[8]
    containerName: containerName
    trainingPrincipalId: trainingPrincipalId
    workspacePrincipalId: workspacePrincipalId
  }
}

resource datastore 'Microsoft.MachineLearningServices/workspaces/datastores@2025-06-01' = {
  parent: workspace
  name: name
  properties: {
    datastoreType: 'AzureBlob'
    subscriptionId: path[2]
    resourceGroup: path[4]
    accountName: path[8]
    containerName: containerName
    endpoint: environment().suffixes.storage
    protocol: 'https'
    // Whoever reads it does so as themselves: a job as its identity.
    credentials: {
      credentialsType: 'None'
    }
  }
}

// One for all containers of the account: Azure refuses a second rule for the same target.
resource rule 'Microsoft.MachineLearningServices/workspaces/outboundRules@2025-06-01' = if (hasManagedNetwork && !empty(workspacePrincipalId)) {
  parent: workspace
  name: 'central-${uniqueString(toLower(storageId))}'
  properties: {
    type: 'PrivateEndpoint'
    category: 'UserDefined'
    destination: {
      serviceResourceId: storageId
      subresourceTarget: 'blob'
      sparkEnabled: true
    }
  }
  // The workspace approves the endpoint.
  dependsOn: [
    roles
  ]
}
