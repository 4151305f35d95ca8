metadata description = 'What of the environment is reached through an Azure Monitor private link scope of the platform team.'

@description('Name of the scope.')
param scopeName string

@description('Resource ids of the Log Analytics workspace and of Application Insights.')
param resourceIds array

resource linkScope 'Microsoft.Insights/privateLinkScopes@2021-09-01' existing = {
  name: scopeName
}

// One after the other: they are changes of one resource.
@batchSize(1)
resource scoped 'Microsoft.Insights/privateLinkScopes/scopedResources@2021-09-01' = [
  for resourceId in resourceIds: {
    parent: linkScope
    name: last(split(resourceId, '/'))
    properties: {
      linkedResourceId: resourceId
    }
  }
]
