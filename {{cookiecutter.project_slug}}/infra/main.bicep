metadata description = 'One environment of the project, in one resource group. Names, owner and tags come from conf/project.yml; what differs between environments, from its .bicepparam.'

targetScope = 'resourceGroup'

@description('The environment; its names are in conf/project.yml.')
@allowed([
  'dev'
  'test'
  'prod'
])
param environment string

@description('Region of every resource.')
param location string = resourceGroup().location

@description('True deploys roles, policies and locks as well, which takes an administrator (Owner of the resource group). CI deploys without.')
param asAdministrator bool = false

// --- network ---

@description('public: endpoints on the internet behind sign-in and service firewalls. managed-vnet: private endpoints only, and jobs reach approved hosts only.')
@allowed([
  'public'
  'managed-vnet'
])
param network string

@description('Public IP ranges, CIDR, from which people reach data and secrets when the network is public; a single address without /32.')
param allowedIpRanges array = []

@description('Host names that jobs may reach when the network is managed-vnet, such as those of the package index.')
param outboundHosts array = []

@description('Address space of the virtual network: CIDR, /24 or larger, beginning at a multiple of 256 addresses.')
param addressSpace string = '10.20.0.0/24'

// --- sizes and costs ---

@description('True where batch endpoints or parallel jobs run: jobs then reach queues and tables as well, over two more private endpoints.')
param batchScoring bool

@description('Virtual machine size of the compute cluster.')
param clusterSize string

@description('Most nodes of the compute cluster; it has none while nobody works.')
@minValue(1)
@maxValue(100)
param clusterMaximum int

@description('LowPriority costs a fraction and may be taken away; Dedicated stays.')
@allowed([
  'Dedicated'
  'LowPriority'
])
param clusterPriority string

@description('Minutes without work after which a node goes.')
@minValue(2)
@maxValue(120)
param clusterIdleMinutes int

@description('Tier of the container registry. The managed-vnet network takes Premium, whatever is said here.')
@allowed([
  'Basic'
  'Standard'
  'Premium'
])
param containerRegistrySku string

@description('Replication of stored data.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param storageSku string

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int

@description('Days that deleted data and secrets can be brought back.')
@minValue(7)
@maxValue(90)
param softDeleteDays int

@description('Budget of a month, in the currency of the billing account.')
@minValue(1)
param monthlyBudget int

@description('First day of the month in which the budget begins, YYYY-MM-01; Azure wants the current month when it is created.')
param budgetStart string = utcNow('yyyy-MM-01')

// --- people and pipelines ---

@description('True protects the resources from deletion.')
param lockResources bool

@description('Object ids of the Entra groups of the personas: domainExperts, dataEngineers, dataScientists, aiEngineers, modelValidators, mlEngineers. An empty one has no access.')
param groups object

@description('Where the pipelines run.')
@allowed([
  'github-actions'
  'azure-devops'
])
param ciProvider string

@description('Who signs in without a secret: repo:OWNER/REPOSITORY:environment:ENVIRONMENT, or sc://ORGANIZATION/PROJECT/SERVICE-CONNECTION. Empty: nobody.')
param ciSubject string = ''

@description('Issuer that the Azure DevOps service connection shows; GitHub has one for all.')
param ciIssuer string = ''

@description('How production data is reached: approved-access, for a limited time by named groups; masked-replica, a copy in dev without what identifies.')
@allowed([
  'approved-access'
  'masked-replica'
])
param productionData string

@description('Names of the columns that a masked replica hides.')
param maskedColumns array = []

@description('Resource id of the storage account in dev that takes the masked replica. Empty: none is made.')
param replicaStorageId string = ''

var project = loadYamlContent('../conf/project.yml')
var names = project.environments[environment]
var base = '${project.organization}-${project.name}-${environment}'
var isPrivate = network == 'managed-vnet'
// As azureml/ calls it.
var computeName = 'cpu-cluster'
// The organization is charged unless the tags of conf/project.yml say who is.
var tags = union({ cost_center: project.organization }, project.tags, { environment: environment })

// --- watching: first, since everything else reports there ---

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    base: base
    location: location
    tags: tags
    retentionDays: logRetentionDays
  }
}

module actionGroup 'modules/action-group.bicep' = {
  name: 'action-group'
  params: {
    base: base
    tags: tags
    email: project.owner
  }
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    base: base
    amount: monthlyBudget
    start: budgetStart
    email: project.owner
    actionGroupId: actionGroup.outputs.id
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    base: base
    location: location
    tags: tags
    actionGroupId: actionGroup.outputs.id
    workspaceId: workspace.outputs.id
    logAnalyticsId: monitoring.outputs.logAnalyticsId
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    eventTopicId: eventTopic.outputs.id
    clusterMaximum: clusterMaximum
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    title: project.title
    environment: environment
    location: location
    tags: tags
    workspaceId: workspace.outputs.id
    logAnalyticsId: monitoring.outputs.logAnalyticsId
    applicationInsightsId: monitoring.outputs.applicationInsightsId
  }
}

// --- identities ---

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    base: base
    location: location
    tags: tags
    ciProvider: ciProvider
    ciSubject: ciSubject
    ciIssuer: ciIssuer
  }
}

// --- network ---

module virtualNetwork 'modules/network.bicep' = {
  name: 'network'
  params: {
    base: base
    location: location
    tags: tags
    addressSpace: addressSpace
    isPrivate: isPrivate
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

// --- machine learning ---

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    storageName: names.storage_account
    location: location
    tags: tags
    sku: storageSku
    softDeleteDays: softDeleteDays
    isPrivate: isPrivate
    allowedIpRanges: allowedIpRanges
    functionsSubnetId: virtualNetwork.outputs.functionsSubnetId
    endpointsSubnetId: virtualNetwork.outputs.endpointsSubnetId
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    vaultName: names.key_vault
    location: location
    tags: tags
    softDeleteDays: softDeleteDays
    isPrivate: isPrivate
    allowedIpRanges: allowedIpRanges
    endpointsSubnetId: virtualNetwork.outputs.endpointsSubnetId
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

module containerRegistry 'modules/container-registry.bicep' = {
  name: 'container-registry'
  params: {
    containerRegistryName: names.container_registry
    location: location
    tags: tags
    sku: isPrivate ? 'Premium' : containerRegistrySku
    isPrivate: isPrivate
    endpointsSubnetId: virtualNetwork.outputs.endpointsSubnetId
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

module workspace 'modules/workspace.bicep' = {
  name: 'workspace'
  params: {
    workspaceName: names.workspace
    title: project.title
    about: project.description
    location: location
    tags: tags
    isPrivate: isPrivate
    outboundHosts: outboundHosts
    batchScoring: batchScoring
    trainingIdentityId: identities.outputs.trainingId
    computeName: computeName
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
    containerRegistryId: containerRegistry.outputs.id
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    endpointsSubnetId: virtualNetwork.outputs.endpointsSubnetId
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

module compute 'modules/compute.bicep' = {
  name: 'compute'
  params: {
    workspaceName: workspace.outputs.name
    name: computeName
    location: location
    tags: tags
    size: clusterSize
    maximum: clusterMaximum
    priority: clusterPriority
    idleMinutes: clusterIdleMinutes
    identityId: identities.outputs.trainingId
  }
  // With it comes the managed network, whose private endpoints the workspace must be allowed to approve.
  dependsOn: [
    access
  ]
}

// --- events ---

module eventStorage 'modules/event-storage.bicep' = {
  name: 'event-storage'
  params: {
    location: location
    tags: tags
    sku: storageSku
    softDeleteDays: softDeleteDays
    isPrivate: isPrivate
    functionsSubnetId: virtualNetwork.outputs.functionsSubnetId
    endpointsSubnetId: virtualNetwork.outputs.endpointsSubnetId
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

module eventTopic 'modules/event-topic.bicep' = {
  name: 'event-topic'
  params: {
    base: base
    location: location
    tags: tags
    workspaceId: workspace.outputs.id
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

module events 'modules/events.bicep' = {
  name: 'events'
  params: {
    base: base
    location: location
    tags: tags
    environment: environment
    topicName: eventTopic.outputs.name
    workspaceName: workspace.outputs.name
    storageName: eventStorage.outputs.name
    identityId: identities.outputs.eventsId
    identityClientId: identities.outputs.eventsClientId
    functionsSubnetId: virtualNetwork.outputs.functionsSubnetId
    endpointsSubnetId: virtualNetwork.outputs.endpointsSubnetId
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    logAnalyticsId: monitoring.outputs.logAnalyticsId
    isPrivate: isPrivate
  }
  dependsOn: [
    access
  ]
}

// --- rights: who may do what ---

module access 'modules/access.bicep' = if (asAdministrator) {
  name: 'access'
  params: {
    environment: environment
    title: project.title
    location: location
    tags: tags
    requiredTags: [
      'project'
      'environment'
      'owner'
      'cost_center'
      'template'
    ]
    groups: groups
    productionData: productionData
    lockResources: lockResources
    workspaceName: workspace.outputs.name
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    containerRegistryName: containerRegistry.outputs.name
    eventStorageName: eventStorage.outputs.name
    logAnalyticsName: monitoring.outputs.logAnalyticsName
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    trainingPrincipalId: identities.outputs.trainingPrincipalId
    scoringPrincipalId: identities.outputs.scoringPrincipalId
    workspacePrincipalId: workspace.outputs.principalId
    eventsPrincipalId: identities.outputs.eventsPrincipalId
    eventTopicPrincipalId: eventTopic.outputs.principalId
    ciPrincipalId: identities.outputs.ciPrincipalId
  }
  // Both add tags to the resource group.
  dependsOn: [
    budget
  ]
}

// --- production data ---

module maskedReplica 'modules/masked-replica.bicep' = if (environment == 'prod' && productionData == 'masked-replica' && !empty(replicaStorageId)) {
  name: 'masked-replica'
  params: {
    base: base
    location: location
    tags: tags
    asAdministrator: asAdministrator
    sourceStorageName: storage.outputs.name
    replicaStorageId: replicaStorageId
    maskedColumns: maskedColumns
    logAnalyticsId: monitoring.outputs.logAnalyticsId
  }
}

// --- what the pipelines ask for ---

@description('Name of the workspace.')
output workspaceName string = workspace.outputs.name

@description('Name of the compute cluster that pipelines run on.')
output computeName string = compute.outputs.name

@description('Name of the function app that events go to; CI deploys events/ there.')
output functionAppName string = events.outputs.functionAppName

@description('Client id that CI signs in with: AZURE_CLIENT_ID of the environment.')
output ciClientId string = identities.outputs.ciClientId

@description('Resource id of the identity that endpoints run as.')
output scoringIdentityId string = identities.outputs.scoringId

@description('Resource id of the action group; endpoint.bicep takes it.')
output actionGroupId string = actionGroup.outputs.id

@description('Resource id of the Log Analytics workspace; endpoint.bicep takes it.')
output logAnalyticsId string = monitoring.outputs.logAnalyticsId

@description('Resource id of the storage account; a masked replica goes to that of dev.')
output storageId string = storage.outputs.id
