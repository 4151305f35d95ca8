metadata description = 'Which events of the workspace go to which queue, and the function app that reacts to them.'

@description('Organization, project and environment: what names are made of.')
param base string

@description('Region of the function app.')
param location string

@description('Tags of every resource.')
param tags object

@description('The environment.')
param environment string

@description('Name of the Event Grid topic of the workspace.')
param topicName string

@description('Name of the workspace that jobs are started in.')
param workspaceName string

@description('Name of the storage account of the events.')
param storageName string

@description('Resource id of the identity that the function app runs as.')
param identityId string

@description('Client id of that identity.')
param identityClientId string

@description('Resource id of the subnet of the function app.')
param functionsSubnetId string

@description('Resource id of the subnet of private endpoints.')
param endpointsSubnetId string

@description('Name of the Application Insights component that the function app reports to.')
param applicationInsightsName string

@description('Resource id of the Log Analytics workspace that logs go to.')
param logAnalyticsId string

@description('True closes the public endpoint of the function app and opens a private one.')
param isPrivate bool

@description('Days after a retraining was started in which no other breach starts one.')
@minValue(0)
@maxValue(365)
param coolDownDays int = 7

// The run tag that a monitor writes when a threshold is breached. Whether it is there splits failed runs
// from breaches without a gap: StringNotContains would not match an event that lacks the tag.
var breachTag = 'data.RunTags.azureml_modelmonitor_threshold_breached'
var subscriptions = [
  {
    name: 'model-registered'
    type: 'Microsoft.MachineLearningServices.ModelRegistered'
    filters: []
  }
  {
    name: 'run-failed'
    type: 'Microsoft.MachineLearningServices.RunStatusChanged'
    filters: [
      {
        operatorType: 'StringIn'
        key: 'data.RunStatus'
        values: [
          'Failed'
        ]
      }
      {
        operatorType: 'IsNullOrUndefined'
        key: breachTag
      }
    ]
  }
  {
    name: 'monitor-breached'
    type: 'Microsoft.MachineLearningServices.RunStatusChanged'
    filters: [
      {
        operatorType: 'IsNotNull'
        key: breachTag
      }
    ]
  }
]

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

// To queues and not to the functions: a subscription to a function is refused until its code is there.
module eventSubscriptions 'event-subscription.bicep' = [
  for wanted in subscriptions: {
    name: 'event-subscription-${wanted.name}'
    params: {
      name: wanted.name
      topicName: topicName
      storageId: storage.id
      eventType: wanted.type
      filters: wanted.filters
    }
  }
]

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'asp-${base}'
  location: location
  tags: tags
  kind: 'functionapp'
  // checkov:skip=CKV_AZURE_225:not every region has zones; what waits is in the queues
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource functionApp 'Microsoft.Web/sites@2024-11-01' = {
  name: 'func-${base}'
  location: location
  tags: tags
  kind: 'functionapp,linux'
  // checkov:skip=CKV_AZURE_222:closed where the network is managed-vnet; elsewhere CI brings the code this way
  // checkov:skip=CKV_AZURE_17:its functions are started by queues, nobody calls it
  // checkov:skip=CKV_AZURE_212:it scales to none, so that waiting costs nothing
  // checkov:skip=CKV_AZURE_213:there is no address to ask; a queue that fills up is what tells
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    virtualNetworkSubnetId: functionsSubnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}function-code'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.12'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        // The least that every region takes; events are few.
        maximumInstanceCount: 40
      }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      appSettings: [
        {
          name: 'AzureWebJobsStorage__accountName'
          value: storage.name
        }
        {
          name: 'AzureWebJobsStorage__credential'
          value: 'managedidentity'
        }
        {
          name: 'AzureWebJobsStorage__clientId'
          value: identityClientId
        }
        {
          name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
          value: applicationInsights.properties.ConnectionString
        }
        {
          name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
          value: 'ClientId=${identityClientId};Authorization=AAD'
        }
        {
          name: 'EVENTS_CLIENT_ID'
          value: identityClientId
        }
        {
          name: 'EVENTS_SUBSCRIPTION_ID'
          value: subscription().subscriptionId
        }
        {
          name: 'EVENTS_RESOURCE_GROUP'
          value: resourceGroup().name
        }
        {
          name: 'EVENTS_WORKSPACE'
          value: workspaceName
        }
        {
          name: 'EVENTS_ENVIRONMENT'
          value: environment
        }
        {
          name: 'EVENTS_STATE'
          value: '${storage.properties.primaryEndpoints.blob}event-state'
        }
        {
          name: 'EVENTS_COOL_DOWN_DAYS'
          value: string(coolDownDays)
        }
      ]
    }
  }
}

resource publishingByFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: functionApp
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource publishingByScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: functionApp
  name: 'scm'
  properties: {
    allow: false
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: functionApp
  name: 'logs'
  properties: {
    workspaceId: logAnalyticsId
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

@description('Name of the function app.')
output functionAppName string = functionApp.name
