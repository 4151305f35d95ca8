metadata description = 'Who reads one container of production data.'

@description('Name of the storage account.')
param storageName string

@description('Name of the container.')
param containerName string

@description('Object id of the Data Factory.')
param principalId string

// Storage Blob Data Reader
var readerId = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource container 'containers' existing = {
      name: containerName
    }
  }
}

// The one container, nothing else of the account.
resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::blobs::container
  name: guid(storage::blobs::container.id, principalId, readerId)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', readerId)
    principalId: principalId
    principalType: 'ServicePrincipal'
    description: 'The factory reads the table that it copies.'
  }
}
