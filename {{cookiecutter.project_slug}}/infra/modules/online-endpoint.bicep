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
