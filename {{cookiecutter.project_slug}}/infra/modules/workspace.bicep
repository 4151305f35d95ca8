metadata description = 'The Azure Machine Learning workspace, with a managed network of its own: jobs and endpoints reach the project\'s data through private endpoints, whatever the network.'

@description('Name of the workspace.')
param workspaceName string

@description('The project, as people call it.')
param title string

@description('What the project predicts.')
param about string

@description('Region of the resources.')
param location string

@description('Tags of the resources.')
param tags object

@description('True where the workspace has a private endpoint only, and its jobs reach approved hosts only.')
param isPrivate bool

@description('Host names that jobs may reach where it is private, such as those of the package index. The first one brings a firewall, which costs by the hour.')
param outboundHosts array

@description('True where batch endpoints, or parallel jobs, score: they need two more private endpoints.')
param batchScoring bool

@description('Name of the compute cluster that builds images where the registry is private: no other builder reaches it.')
param computeName string

@description('Resource id of the storage account.')
param storageId string

@description('Resource id of the key vault.')
param vaultId string

@description('Resource id of the container registry.')
param containerRegistryId string

@description('Resource id of Application Insights.')
param applicationInsightsId string

@description('Resource id of the subnet of the private endpoints.')
param endpointsSubnetId string

@description('Resource id of the Log Analytics workspace.')
param logAnalyticsId string

// With managed-vnet Azure makes these itself, and refuses a second rule for the same target.
var ownTargets = [
  {
    name: 'storage-blob'
    id: storageId
    group: 'blob'
    isForSpark: true
  }
  {
    name: 'storage-file'
    id: storageId
    group: 'file'
    isForSpark: true
  }
  {
    name: 'vault'
    id: vaultId
    group: 'vault'
    isForSpark: false
  }
]
// Where a batch job keeps which part of its input is done.
var batchTargets = [
  {
    name: 'storage-queue'
    id: storageId
    group: 'queue'
    isForSpark: false
  }
  {
    name: 'storage-table'
    id: storageId
    group: 'table'
    isForSpark: false
  }
]
var targets = concat(isPrivate ? [] : ownTargets, batchScoring ? batchTargets : [])

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' = {
  // checkov:skip=CKV_AZURE_243:its private endpoints are rules of their own below, where the check does not look
  name: workspaceName
  location: location
  tags: tags
  kind: 'Default'
  sku: {
    name: 'Basic'
    tier: 'Basic'
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    friendlyName: title
    description: about
    storageAccount: storageId
    keyVault: vaultId
    containerRegistry: containerRegistryId
    applicationInsights: applicationInsightsId
    systemDatastoresAuthMode: 'Identity'
    v1LegacyMode: false
    // Who closes the network wants neither what jobs print sent to Microsoft, nor data left on a node's disk.
    hbiWorkspace: isPrivate
    imageBuildCompute: isPrivate ? computeName : null
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    // Made with the first compute, which main.bicep deploys once the workspace may approve the private endpoints.
    managedNetwork: {
      isolationMode: isPrivate ? 'AllowOnlyApprovedOutbound' : 'AllowInternetOutbound'
      firewallSku: isPrivate ? 'Basic' : null
    }
  }
}

// One after the other: the managed network refuses a change while another is under way.
@batchSize(1)
resource targetRules 'Microsoft.MachineLearningServices/workspaces/outboundRules@2025-06-01' = [
  for target in targets: {
    parent: workspace
    name: target.name
    properties: {
      type: 'PrivateEndpoint'
      category: 'UserDefined'
      destination: {
        serviceResourceId: target.id
        subresourceTarget: target.group
        sparkEnabled: target.isForSpark
      }
    }
  }
]

@batchSize(1)
resource hostRules 'Microsoft.MachineLearningServices/workspaces/outboundRules@2025-06-01' = [
  for host in (isPrivate ? outboundHosts : []): {
    parent: workspace
    name: 'host-${uniqueString(host)}'
    properties: {
      type: 'FQDN'
      category: 'UserDefined'
      destination: host
    }
    dependsOn: [
      targetRules
    ]
  }
]

module endpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'workspace-endpoint'
  params: {
    targetName: workspaceName
    targetId: workspace.id
    groupId: 'amlworkspace'
    zoneNames: [
      'privatelink.api.azureml.ms'
      'privatelink.notebooks.azure.net'
    ]
    location: location
    tags: tags
    subnetId: endpointsSubnetId
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: workspace
  properties: {
    workspaceId: logAnalyticsId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

@description('Resource id of the workspace.')
output id string = workspace.id

@description('Name of the workspace.')
output name string = workspace.name
