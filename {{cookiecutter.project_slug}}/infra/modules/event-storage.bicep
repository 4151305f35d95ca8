metadata description = 'Storage of the events: the queues they wait in, what became of them, and the code that reacts to them.'

@description('Region of the storage account.')
param location string

@description('Tags of the storage account.')
param tags object

@description('Replication of what is stored.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param sku string

@description('Days that a deleted blob or container can be brought back.')
@minValue(1)
@maxValue(365)
param softDeleteDays int

@description('True closes the public endpoint and opens private ones.')
param isPrivate bool

@description('Resource id of the subnet of the function app.')
param functionsSubnetId string

@description('Resource id of the subnet of private endpoints.')
param endpointsSubnetId string

@description('Resource id of the Log Analytics workspace that logs go to.')
param logAnalyticsId string

// The functions' code, events/function_app.py, names the same queues.
var queueNames = [
  'model-registered'
  'run-failed'
  'monitor-breached'
]
// An event that could not be handled is moved here. Made in advance: the function app may then send to
// them without the right to create queues.
var poisonQueueNames = [
  'model-registered-poison'
  'run-failed-poison'
  'monitor-breached-poison'
]
var containerNames = [
  'dead-letters'
  'event-state'
  'function-code'
]
var endpointServices = [
  'blob'
  'queue'
]
var functionsRules = [
  {
    id: functionsSubnetId
    action: 'Allow'
  }
]
// Far longer than Event Grid delivers an event again (one day).
var keptDays = 90

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'stevents${uniqueString(resourceGroup().id)}'
  location: location
  tags: tags
  kind: 'StorageV2'
  // checkov:skip=CKV_AZURE_206:how much replication is the environment's parameter storageSku
  // checkov:skip=CKV_AZURE_43:the check reads the expression; the name is 21 lowercase letters and digits
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      // Event Grid delivers as a trusted service; that holds while public access is disabled, too.
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      ipRules: []
      virtualNetworkRules: isPrivate ? [] : functionsRules
    }
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = {
  parent: storage
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' = [
  for name in concat(queueNames, poisonQueueNames): {
    parent: queueService
    name: name
  }
]

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for name in containerNames: {
    parent: blobService
    name: name
    properties: {
      publicAccess: 'None'
    }
  }
]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = {
  parent: storage
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'forget'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                'dead-letters/'
                'event-state/handled/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: keptDays
                }
              }
            }
          }
        }
      ]
    }
  }
  dependsOn: [
    blobService
  ]
}

resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: queueService
  name: 'logs'
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

resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobService
  name: 'logs'
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

@description('Name of the storage account.')
output name string = storage.name

@description('Resource id of the storage account.')
output id string = storage.id
