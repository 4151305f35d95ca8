metadata description = 'The online endpoint, empty: it runs as the scoring identity from its first deployment on, and takes no keys.'

@description('Name of the workspace.')
param workspaceName string

@description('Name of the endpoint.')
param name string

@description('Region of the endpoint.')
param location string

@description('Tags of the endpoint.')
param tags object

@description('True where it is asked through the private endpoint of the workspace only.')
param isPrivate bool

@description('Resource id of the identity that it runs as; Azure keeps it as long as the endpoint exists.')
param scoringIdentityId string

@description('Resource id of the Log Analytics workspace that takes the logs. Empty: a policy sees to it.')
param logAnalyticsId string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource endpoint 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints@2025-06-01' = {
  parent: workspace
  name: name
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${scoringIdentityId}': {}
    }
  }
  properties: {
    authMode: 'AADToken'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

// As endpoint.bicep has it.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(logAnalyticsId)) {
  name: 'logs'
  scope: endpoint
  properties: {
    workspaceId: logAnalyticsId
    logs: [
      {
        category: 'AmlOnlineEndpointTrafficLog'
        enabled: true
      }
      {
        category: 'AmlOnlineEndpointConsoleLog'
        enabled: true
      }
      {
        category: 'AmlOnlineEndpointEventLog'
        enabled: true
      }
    ]
  }
}
