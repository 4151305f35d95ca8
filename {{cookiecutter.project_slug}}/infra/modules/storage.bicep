metadata description = 'The storage account of the workspace: data, models, evidence and what endpoints collect.'

@description('Name of the storage account.')
param storageName string

@description('Region of the resources.')
param location string

@description('Tags of the resources.')
param tags object

@description('Replication of stored data.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param sku string

@description('Days that what was deleted or overwritten can be brought back.')
@minValue(7)
@maxValue(90)
param softDeleteDays int

@description('True where the account has private endpoints only.')
param isPrivate bool

@description('Public IP ranges from which people reach the data where it is not private: CIDR up to /30, or single addresses.')
param allowedIpRanges array

@description('Resource id of the subnet of the private endpoints.')
param endpointsSubnetId string

@description('Resource id of the Log Analytics workspace.')
param logAnalyticsId string

var endpointGroups = [
  'blob'
  'file'
]

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  // checkov:skip=CKV_AZURE_43:conf/project.yml has the name, checked against Azure's limits when the project was made
  // checkov:skip=CKV_AZURE_206:a parameter says how data is replicated, in several zones for test and prod
  name: storageName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    // Nothing but identities: datastores, jobs, endpoints and people sign in.
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    isSftpEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      // The workspace itself is such a service; its jobs come through private endpoints of its managed network.
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      ipRules: [
        for ipRange in (isPrivate ? [] : allowedIpRanges): {
          action: 'Allow'
          value: ipRange
        }
      ]
    }
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      services: {
        blob: {
          enabled: true
        }
        file: {
          enabled: true
        }
      }
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: true
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    // What the workspace sets when it is made, so that the studio shows and uploads data; left out, a later deployment takes it away.
    cors: {
      corsRules: [
        {
          allowedOrigins: [
            'https://mlworkspace.azure.ai'
            'https://ml.azure.com'
            'https://*.ml.azure.com'
          ]
          allowedMethods: [
            'GET'
            'HEAD'
            'POST'
            'PUT'
            'DELETE'
            'OPTIONS'
            'PATCH'
          ]
          allowedHeaders: [
            '*'
          ]
          exposedHeaders: [
            '*'
          ]
          maxAgeInSeconds: 1800
        }
      ]
    }
  }

  // The workspace makes its own; this one takes what a masked replica of production copies here.
  resource replica 'containers' = {
    name: 'replica'
    properties: {
      publicAccess: 'None'
    }
  }
}

// Versions of what a job overwrote would be kept, and paid for, without end.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-old-versions'
          enabled: true
          type: 'Lifecycle'
          definition: {
            actions: {
              snapshot: {
                delete: {
                  daysAfterCreationGreaterThan: softDeleteDays
                }
              }
              version: {
                delete: {
                  daysAfterCreationGreaterThan: softDeleteDays
                }
              }
            }
            filters: {
              blobTypes: [
                'blockBlob'
              ]
            }
          }
        }
      ]
    }
  }
  dependsOn: [
    blobs
  ]
}

resource files 'Microsoft.Storage/storageAccounts/fileServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    shareDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' = {
  parent: account
  name: 'default'
}

module endpoints 'private-endpoint.bicep' = [
  for group in (isPrivate ? endpointGroups : []): {
    name: 'storage-${group}-endpoint'
    params: {
      targetName: storageName
      targetId: account.id
      groupId: group
      zoneNames: [
        'privatelink.${group}.${environment().suffixes.storage}'
      ]
      location: location
      tags: tags
      subnetId: endpointsSubnetId
    }
  }
]

resource blobDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: blobs
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

resource fileDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: files
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

resource queueDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: queues
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

resource tableDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: tables
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

// The account has metrics only; its services have the logs.
resource accountDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'metrics'
  scope: account
  properties: {
    workspaceId: logAnalyticsId
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

@description('Resource id of the storage account.')
output id string = account.id

@description('Name of the storage account.')
output name string = account.name
