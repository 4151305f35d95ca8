metadata description = 'What the identities of the project may do: each the least it needs, on the one resource it needs it on.'

@description('The environment; role names hold it.')
@allowed([
  'dev'
  'test'
  'prod'
])
param environment string

@description('Title of the project; role names begin with it.')
param title string

@description('Name of the workspace.')
param workspaceName string

@description('Name of the storage account of the workspace.')
param storageName string

@description('Name of the container registry of the workspace.')
param containerRegistryName string

@description('Name of the storage account of the events.')
param eventStorageName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Object id of the identity that jobs run as.')
param trainingPrincipalId string

@description('Object id of the identity that endpoints run as.')
param scoringPrincipalId string

@description('Object id of the identity that events are delivered and handled with.')
param eventsPrincipalId string

@description('Object id of the identity that the pipelines sign in as.')
param ciPrincipalId string

var table = loadJsonContent('identity-roles.json')
var roleIds = {
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  contributor: 'b24988ac-6180-42a0-ab88-20f7382dd24c'
  metricsWriter: '635dd51f-9968-44d3-b7fb-6d9a6bd613ae'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageQueueDataMessageProcessor: '8a0f0c08-91a1-4084-bc3d-661d67233fed'
  storageQueueDataMessageSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  storageQueueDataReader: '19e7f393-937e-4f77-808e-94535e297925'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource containerRegistry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: containerRegistryName
}

resource eventStorage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: eventStorageName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

// --- jobs ---

// AzureML Data Scientist, the role Azure has for this, could delete endpoints and read secrets as well.
module jobRole 'custom-role.bicep' = {
  name: 'role-training'
  params: {
    key: 'training'
    roleName: '${title} ${environment}: ${table.training.title} (${resourceGroup().name})'
    about: table.training.what
    actions: table.training.everywhere
  }
}

resource jobsInWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: workspace
  name: guid(workspace.id, trainingPrincipalId, 'training')
  properties: {
    roleDefinitionId: jobRole.outputs.id
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    description: 'A job logs metrics and registers models.'
  }
}

resource jobsInStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, trainingPrincipalId, roleIds.storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataContributor)
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    description: 'A job reads its inputs and writes its outputs; keys are off.'
  }
}

resource jobsInStorageQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, trainingPrincipalId, roleIds.storageQueueDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageQueueDataContributor)
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    description: 'A parallel job, which batch scoring is, hands out its work in queues.'
  }
}

resource jobsInStorageTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, trainingPrincipalId, roleIds.storageTableDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageTableDataContributor)
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    description: 'A parallel job, which batch scoring is, keeps count in tables.'
  }
}

resource jobsInContainerRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: containerRegistry
  name: guid(containerRegistry.id, trainingPrincipalId, roleIds.acrPull)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.acrPull)
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    description: 'A node pulls the image of its environment; the admin user is off.'
  }
}

// --- endpoints ---

resource endpointsInStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, scoringPrincipalId, roleIds.storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataContributor)
    principalId: scoringPrincipalId
    principalType: 'ServicePrincipal'
    // Reading would do for the model; the data collector writes beside it.
    description: 'An endpoint reads its model and code, and its data collector writes what it was asked.'
  }
}

resource endpointsInContainerRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: containerRegistry
  name: guid(containerRegistry.id, scoringPrincipalId, roleIds.acrPull)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.acrPull)
    principalId: scoringPrincipalId
    principalType: 'ServicePrincipal'
    description: 'An endpoint pulls the image of its environment.'
  }
}

resource endpointsInWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: workspace
  name: guid(workspace.id, scoringPrincipalId, roleIds.metricsWriter)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.metricsWriter)
    principalId: scoringPrincipalId
    principalType: 'ServicePrincipal'
    description: 'An endpoint reports its metrics. Azure gives this to a system-assigned identity by itself, to ours it does not.'
  }
}

// --- events ---

resource eventsIntoQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: eventStorage
  name: guid(eventStorage.id, eventsPrincipalId, roleIds.storageQueueDataMessageSender)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageQueueDataMessageSender)
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    description: 'Event Grid puts events into queues, and the function app what it cannot handle into poison queues.'
  }
}

resource eventsOutOfQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: eventStorage
  name: guid(eventStorage.id, eventsPrincipalId, roleIds.storageQueueDataMessageProcessor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageQueueDataMessageProcessor)
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    description: 'The function app takes events out of queues.'
  }
}

resource queuesSeen 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: eventStorage
  name: guid(eventStorage.id, eventsPrincipalId, roleIds.storageQueueDataReader)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageQueueDataReader)
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    description: 'A queue trigger asks whether its queue is there and how long it is.'
  }
}

resource eventsInBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: eventStorage
  name: guid(eventStorage.id, eventsPrincipalId, roleIds.storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataContributor)
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    description: 'Dead letters are written, the function app reads its code and remembers what it handled.'
  }
}

module jobStarterRole 'custom-role.bicep' = {
  name: 'role-events'
  params: {
    key: 'events'
    roleName: '${title} ${environment}: ${table.events.title} (${resourceGroup().name})'
    about: table.events.what
    actions: table.events.everywhere
  }
}

resource eventsInWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: workspace
  name: guid(workspace.id, eventsPrincipalId, 'events')
  properties: {
    roleDefinitionId: jobStarterRole.outputs.id
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    description: 'An event starts a pipeline.'
  }
}

resource eventsInStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, eventsPrincipalId, roleIds.storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataContributor)
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    // The container of the workspace has a name that Azure makes up, so this is as narrow as it gets.
    description: 'Who starts a job uploads its code.'
  }
}

resource eventsReport 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: applicationInsights
  name: guid(applicationInsights.id, eventsPrincipalId, roleIds.monitoringMetricsPublisher)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.monitoringMetricsPublisher)
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    description: 'The function app reports what it does; keys of Application Insights are off.'
  }
}

// --- pipelines ---

resource ciInGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, ciPrincipalId, roleIds.contributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.contributor)
    principalId: ciPrincipalId
    principalType: 'ServicePrincipal'
    description: 'CI deploys this group, and nothing outside. It gives nobody a role.'
  }
}

resource ciInStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, ciPrincipalId, roleIds.storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataContributor)
    principalId: ciPrincipalId
    principalType: 'ServicePrincipal'
    description: 'CI uploads the code of jobs and deployments, and carries a model from one environment to the next.'
  }
}

resource ciInEventStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: eventStorage
  name: guid(eventStorage.id, ciPrincipalId, roleIds.storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.storageBlobDataContributor)
    principalId: ciPrincipalId
    principalType: 'ServicePrincipal'
    description: 'CI uploads the code of the function app.'
  }
}
