metadata description = 'What jobs and the workspace may do with a container of the organization\'s central storage.'

@description('Name of the storage account.')
param storageName string

@description('Name of the container.')
param containerName string

@description('Object id of the identity that jobs run as.')
param trainingPrincipalId string

@description('Object id of the identity of the workspace itself. Empty: it has its role already.')
param workspacePrincipalId string

var roleIds = {
  connectionApprover: 'b556d68e-0be0-4f35-a333-ad7ee1ce17ea'
  storageBlobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource container 'containers' existing = {
      name: containerName
    }
  }
}

resource jobsRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::blobs::container
  name: guid(storage::blobs::container.id, trainingPrincipalId, roleIds.storageBlobDataReader)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataReader)
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    description: 'A job reads one container of the central storage.'
  }
}

resource workspaceAtStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(workspacePrincipalId)) {
  scope: storage
  name: guid(storage.id, workspacePrincipalId, roleIds.connectionApprover)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.connectionApprover)
    principalId: workspacePrincipalId
    principalType: 'ServicePrincipal'
    description: 'The workspace approves the private endpoint through which its jobs reach the central storage.'
  }
}
