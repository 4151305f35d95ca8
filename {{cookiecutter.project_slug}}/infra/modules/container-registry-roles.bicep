metadata description = 'Who pulls and pushes images, in a container registry that may be in another resource group.'

@description('Name of the container registry.')
param containerRegistryName string

@description('Object id of the identity that jobs run as.')
param trainingPrincipalId string

@description('Object id of the identity that images are built as. Empty: Azure builds them.')
param buildPrincipalId string

@description('Object id of the identity that endpoints run as.')
param scoringPrincipalId string

@description('Object id of the identity of the workspace itself.')
param workspacePrincipalId string

var roleIds = {
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  acrPush: '8311e382-0749-4cb8-b61a-304f252e45ec'
  connectionApprover: 'b556d68e-0be0-4f35-a333-ad7ee1ce17ea'
}

resource containerRegistry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: containerRegistryName
}

resource workspaceAtContainerRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: containerRegistry
  name: guid(containerRegistry.id, workspacePrincipalId, roleIds.connectionApprover)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.connectionApprover)
    principalId: workspacePrincipalId
    principalType: 'ServicePrincipal'
    description: 'The workspace approves the private endpoint through which its jobs reach the registry.'
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

resource buildInContainerRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(buildPrincipalId)) {
  scope: containerRegistry
  name: guid(containerRegistry.id, buildPrincipalId, roleIds.acrPush)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.acrPush)
    principalId: buildPrincipalId
    principalType: 'ServicePrincipal'
    description: 'The cluster that builds images pushes them; it runs no job of ours.'
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
