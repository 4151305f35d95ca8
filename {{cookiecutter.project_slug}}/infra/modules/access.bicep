metadata description = 'Who may do what: roles, policies, locks. Deployed by an administrator only.'

@description('The environment.')
@allowed([
  'dev'
  'test'
  'prod'
])
param environment string

@description('Title of the project; role names begin with it.')
param title string

@description('Region of the policy assignments\' identities.')
param location string

@description('Tags of the resource group; its resources inherit what they lack.')
param tags object

@description('Names of the tags that every resource has.')
param requiredTags array

@description('Object ids of the Entra groups by persona. An empty or missing one has no access.')
param groups object

@description('How production data is reached.')
@allowed([
  'approved-access'
  'masked-replica'
])
param productionData string

@description('True protects the resources from deletion.')
param lockResources bool

@description('Name of the workspace.')
param workspaceName string

@description('Name of the storage account of the workspace.')
param storageName string

@description('Name of the key vault.')
param vaultName string

@description('Name of the container registry.')
param containerRegistryName string

@description('Name of the storage account of the events.')
param eventStorageName string

@description('Name of the Log Analytics workspace.')
param logAnalyticsName string

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

@description('When this is deployed; access to production data is asked for anew each time.')
param deploymentTime string = utcNow('u')

// The workspace has an identity of its own. Azure gives it, when the workspace is made, what it needs on the
// workspace's own storage, vault and registry, approving its private endpoints included: no role is missing here.

module personaRoles 'persona-roles.bicep' = {
  name: 'persona-roles'
  params: {
    environment: environment
    title: title
    groups: groups
    storageName: storageName
  }
}

module identityRoles 'identity-roles.bicep' = {
  name: 'identity-roles'
  params: {
    environment: environment
    title: title
    workspaceName: workspaceName
    storageName: storageName
    containerRegistryName: containerRegistryName
    eventStorageName: eventStorageName
    applicationInsightsName: applicationInsightsName
    trainingPrincipalId: trainingPrincipalId
    scoringPrincipalId: scoringPrincipalId
    eventsPrincipalId: eventsPrincipalId
    ciPrincipalId: ciPrincipalId
  }
}

module approvedAccess 'approved-access.bicep' = if (environment == 'prod' && productionData == 'approved-access') {
  name: 'approved-access'
  params: {
    groups: groups
    storageName: storageName
    deploymentTime: deploymentTime
  }
}

module policy 'policy.bicep' = {
  name: 'policy'
  params: {
    requiredTags: requiredTags
    tags: tags
    location: location
  }
}

module locks 'locks.bicep' = if (lockResources) {
  name: 'locks'
  params: {
    storageName: storageName
    vaultName: vaultName
    containerRegistryName: containerRegistryName
    logAnalyticsName: logAnalyticsName
  }
}
