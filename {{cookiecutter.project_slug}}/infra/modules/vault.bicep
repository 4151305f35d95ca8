metadata description = 'The key vault that the workspace cannot do without. Nothing of the project is in it: everything signs in with an identity.'

@description('Name of the key vault.')
param vaultName string

@description('Region of the resources.')
param location string

@description('Tags of the resources.')
param tags object

@description('Days that a deleted secret, or the deleted vault, can be brought back. Azure fixes it when the vault is made.')
@minValue(7)
@maxValue(90)
param softDeleteDays int

@description('True where the vault has a private endpoint only.')
param isPrivate bool

@description('Public IP ranges, CIDR, from which people reach secrets where it is not private.')
param allowedIpRanges array

@description('Resource id of the subnet of the private endpoints.')
param endpointsSubnetId string

@description('Resource id of the Log Analytics workspace.')
param logAnalyticsId string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  // checkov:skip=CKV_AZURE_189:closed with managed-vnet; else the firewall denies by default
  name: vaultName
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: softDeleteDays
    enablePurgeProtection: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      // The workspace itself is such a service; its jobs come through a private endpoint of its managed network.
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      ipRules: [for ipRange in (isPrivate ? [] : allowedIpRanges): {
        value: ipRange
      }]
    }
  }
}

module endpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'vault-endpoint'
  params: {
    targetName: vaultName
    targetId: vault.id
    groupId: 'vault'
    zoneNames: [
      'privatelink.vaultcore.azure.net'
    ]
    location: location
    tags: tags
    subnetId: endpointsSubnetId
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: vault
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

@description('Resource id of the key vault.')
output id string = vault.id

@description('Name of the key vault.')
output name string = vault.name
