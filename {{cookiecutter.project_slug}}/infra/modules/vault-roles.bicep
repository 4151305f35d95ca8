metadata description = 'What the workspace may do to its key vault, which may be in another resource group.'

@description('Name of the key vault.')
param vaultName string

@description('Object id of the identity of the workspace itself.')
param workspacePrincipalId string

var roleIds = {
  connectionApprover: 'b556d68e-0be0-4f35-a333-ad7ee1ce17ea'
}

#disable-next-line use-recent-api-versions
resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource workspaceAtVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, workspacePrincipalId, roleIds.connectionApprover)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.connectionApprover)
    principalId: workspacePrincipalId
    principalType: 'ServicePrincipal'
    description: 'The workspace approves the private endpoint through which its jobs reach the vault.'
  }
}
