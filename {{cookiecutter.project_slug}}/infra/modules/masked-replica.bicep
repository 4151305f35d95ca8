metadata description = 'A Data Factory that copies the production table to dev, with what identifies replaced by hashes.'

@description('Organization, project and environment: what names are made of.')
param base string

@description('Region of the factory.')
param location string

@description('Tags of the factory.')
param tags object

@description('True gives the factory its roles and makes its schedule as well, which takes an administrator here and in dev.')
param asAdministrator bool

@description('Name of the storage account that holds production data.')
param sourceStorageName string

@description('Resource id of the storage account in dev that takes the replica; it may be in another subscription.')
param replicaStorageId string

@description('Names of the columns that are hidden, in upper or lower case.')
@minLength(1)
param maskedColumns array

@description('Resource id of the Log Analytics workspace that logs go to.')
param logAnalyticsId string

@description('Container whose Parquet files are the production table.')
param sourceContainer string = 'production'

@description('Container in dev that takes the replica.')
param replicaContainer string = 'replica'

// Storage Blob Data Reader
var readerId = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
var replicaPath = split(replicaStorageId, '/')
var replicaStorageName = last(replicaPath)

var inLowerCase = toLower(join(maskedColumns, '\n'))
var quoted = '\'${replace(inLowerCase, '\n', '\', \'')}\''
var present = [for column in maskedColumns: 'hasColumn(\'${column}\')']

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: sourceStorageName
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' existing = {
  parent: storage
  name: 'default'
}

resource production 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobService
  name: sourceContainer
  properties: {
    publicAccess: 'None'
  }
}

resource factory 'Microsoft.DataFactory/factories@2018-06-01' = {
  // checkov:skip=CKV_AZURE_103:this file is its source, and is in the repository
  name: 'adf-${base}'
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    publicNetworkAccess: 'Disabled'
  }
}

resource managedNetwork 'Microsoft.DataFactory/factories/managedVirtualNetworks@2018-06-01' = {
  parent: factory
  name: 'default'
  properties: {}
}

// Both storage accounts refuse the internet. The endpoints wait until an administrator approves them there.
resource productionEndpoint 'Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints@2018-06-01' = {
  parent: managedNetwork
  name: 'production'
  properties: {
    privateLinkResourceId: storage.id
    groupId: 'blob'
  }
}

resource replicaEndpoint 'Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints@2018-06-01' = {
  parent: managedNetwork
  name: 'replica'
  properties: {
    privateLinkResourceId: replicaStorageId
    groupId: 'blob'
  }
}

// The smallest there is, gone when the run is over: it costs while it copies only.
resource runtime 'Microsoft.DataFactory/factories/integrationRuntimes@2018-06-01' = {
  parent: factory
  name: 'managed'
  properties: {
    type: 'Managed'
    managedVirtualNetwork: {
      type: 'ManagedVirtualNetworkReference'
      referenceName: managedNetwork.name
    }
    typeProperties: {
      computeProperties: {
        location: location
        dataFlowProperties: {
          computeType: 'General'
          coreCount: 8
          timeToLive: 0
          cleanup: true
        }
      }
    }
  }
}

resource productionStorage 'Microsoft.DataFactory/factories/linkedservices@2018-06-01' = {
  parent: factory
  name: 'production'
  properties: {
    type: 'AzureBlobStorage'
    connectVia: {
      type: 'IntegrationRuntimeReference'
      referenceName: runtime.name
    }
    typeProperties: {
      serviceEndpoint: storage.properties.primaryEndpoints.blob
      // Data flows sign in with an identity only if told this.
      accountKind: 'StorageV2'
    }
  }
}

resource replicaStorage 'Microsoft.DataFactory/factories/linkedservices@2018-06-01' = {
  parent: factory
  name: 'replica'
  properties: {
    type: 'AzureBlobStorage'
    connectVia: {
      type: 'IntegrationRuntimeReference'
      referenceName: runtime.name
    }
    typeProperties: {
      serviceEndpoint: 'https://${replicaStorageName}.blob.${environment().suffixes.storage}/'
      accountKind: 'StorageV2'
    }
  }
}

resource productionTable 'Microsoft.DataFactory/factories/datasets@2018-06-01' = {
  parent: factory
  name: 'production'
  properties: {
    type: 'Parquet'
    linkedServiceName: {
      type: 'LinkedServiceReference'
      referenceName: productionStorage.name
    }
    typeProperties: {
      location: {
        type: 'AzureBlobStorageLocation'
        container: production.name
      }
    }
  }
}

resource replicaTable 'Microsoft.DataFactory/factories/datasets@2018-06-01' = {
  parent: factory
  name: 'replica'
  properties: {
    type: 'Parquet'
    linkedServiceName: {
      type: 'LinkedServiceReference'
      referenceName: replicaStorage.name
    }
    typeProperties: {
      location: {
        type: 'AzureBlobStorageLocation'
        container: replicaContainer
        folderPath: 'table'
      }
    }
  }
}

// Whatever columns the table has come along (schema drift). Of those to hide, the value becomes its SHA-256
// together with the id of the run: equal values stay equal within a copy, and nobody in dev can find a name by
// hashing all names, for the id is in production's logs only. What is missing stays missing. If the table lacks
// one of the columns, say because it was renamed, not a row is copied.
resource masking 'Microsoft.DataFactory/factories/dataflows@2018-06-01' = {
  parent: factory
  name: 'masking'
  properties: {
    type: 'MappingDataFlow'
    description: 'Hides ${join(maskedColumns, ', ')}.'
    typeProperties: {
      sources: [
        {
          name: 'production'
          dataset: {
            type: 'DatasetReference'
            referenceName: productionTable.name
          }
        }
      ]
      transformations: [
        {
          name: 'complete'
        }
        {
          name: 'masked'
        }
      ]
      sinks: [
        {
          name: 'replica'
          dataset: {
            type: 'DatasetReference'
            referenceName: replicaTable.name
          }
        }
      ]
      scriptLines: [
        'parameters{'
        '     salt as string'
        '}'
        'source(allowSchemaDrift: true,'
        '     validateSchema: false,'
        '     ignoreNoFilesFound: false,'
        '     format: \'parquet\','
        '     wildcardPaths:[\'*.parquet\']) ~> production'
        'production filter(${join(present, ' && ')}) ~> complete'
        'complete derive(each(match(in([${quoted}], lower(name))), $$ = iif(isNull($$), toString(null()), sha2(256, $salt, toString($$))))) ~> masked'
        'masked sink(allowSchemaDrift: true,'
        '     validateSchema: false,'
        '     format: \'parquet\','
        '     truncate: true,'
        '     umask: 0022,'
        '     preCommands: [],'
        '     postCommands: [],'
        '     skipDuplicateMapInputs: true,'
        '     skipDuplicateMapOutputs: true) ~> replica'
      ]
    }
  }
}

resource copy 'Microsoft.DataFactory/factories/pipelines@2018-06-01' = {
  parent: factory
  name: 'masked-replica'
  properties: {
    description: 'Copies the production table to dev, masked.'
    // Two at once would empty each other's folder.
    concurrency: 1
    activities: [
      {
        name: 'Mask'
        type: 'ExecuteDataFlow'
        policy: {
          timeout: '0.12:00:00'
          retry: 0
          secureInput: true
        }
        typeProperties: {
          dataFlow: {
            type: 'DataFlowReference'
            referenceName: masking.name
            parameters: {
              salt: {
                type: 'Expression'
                value: '\'@{pipeline().RunId}\''
              }
            }
          }
          integrationRuntime: {
            type: 'IntegrationRuntimeReference'
            referenceName: runtime.name
          }
          compute: {
            computeType: 'General'
            coreCount: 8
          }
          traceLevel: 'None'
        }
      }
      {
        name: 'Copied'
        type: 'IfCondition'
        dependsOn: [
          {
            activity: 'Mask'
            dependencyConditions: [
              'Succeeded'
            ]
          }
        ]
        typeProperties: {
          expression: {
            type: 'Expression'
            // A sink that nothing was written to is not in the metrics.
            value: '@contains(activity(\'Mask\').output.runStatus.metrics, \'replica\')'
          }
          ifFalseActivities: [
            {
              name: 'Nothing'
              type: 'Fail'
              typeProperties: {
                errorCode: 'NothingCopied'
                message: 'No row was copied: the table is empty, or lacks a column that is to be masked (${join(maskedColumns, ', ')}). Compare maskedColumns in prod.bicepparam with the columns of the table.'
              }
            }
          ]
        }
      }
    ]
  }
}

// With an administrator only, who starts it when the private endpoints are approved: az datafactory trigger start.
// A started one cannot be deployed again, and so would stop every later deployment by CI.
resource weekly 'Microsoft.DataFactory/factories/triggers@2018-06-01' = if (asAdministrator) {
  parent: factory
  name: 'weekly'
  properties: {
    type: 'ScheduleTrigger'
    pipelines: [
      {
        pipelineReference: {
          type: 'PipelineReference'
          referenceName: copy.name
        }
      }
    ]
    typeProperties: {
      recurrence: {
        frequency: 'Week'
        interval: 1
        startTime: '2026-01-05T03:00:00Z'
        timeZone: 'UTC'
        schedule: {
          weekDays: [
            'Sunday'
          ]
          hours: [
            3
          ]
          minutes: [
            0
          ]
        }
      }
    }
  }
}

// The one container, nothing else of the account.
resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (asAdministrator) {
  scope: production
  name: guid(production.id, factory.id, readerId)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', readerId)
    principalId: factory.identity.principalId
    principalType: 'ServicePrincipal'
    description: 'The factory reads the table that it copies.'
  }
}

module replica 'replica-container.bicep' = if (asAdministrator) {
  name: 'replica-${uniqueString(factory.id)}'
  scope: resourceGroup(replicaPath[2], replicaPath[4])
  params: {
    storageName: replicaStorageName
    containerName: replicaContainer
    principalId: factory.identity.principalId
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: factory
  name: 'logs'
  properties: {
    workspaceId: logAnalyticsId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

@description('Name of the Data Factory.')
output factoryName string = factory.name
