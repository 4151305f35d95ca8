metadata description = 'The virtual network: one subnet for private endpoints, one that the function app reaches out from. With private endpoints, the DNS zones that resolve them.'

@description('Organization, project and environment, as every name has them.')
param base string

@description('Region of the resources.')
param location string

@description('Tags of the resources.')
param tags object

@description('Address space of the virtual network: CIDR, /24 or larger, beginning at a multiple of 256 addresses.')
param addressSpace string

@description('True where the services have private endpoints only.')
param isPrivate bool

@description('Resource id of the Log Analytics workspace.')
param logAnalyticsId string

var octets = split(addressSpace, '.')
var prefix = '${octets[0]}.${octets[1]}.${octets[2]}'
var zoneNames = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.file.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.vaultcore.azure.net'
  'privatelink${environment().suffixes.acrLoginServer}'
  'privatelink.api.azureml.ms'
  'privatelink.notebooks.azure.net'
]

resource endpointsRules 'Microsoft.Network/networkSecurityGroups@2024-07-01' = {
  name: 'nsg-${base}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'allow-https-from-network'
        properties: {
          description: 'Every private endpoint here is spoken to over HTTPS, from this network and those peered with it.'
          access: 'Allow'
          direction: 'Inbound'
          priority: 100
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '443'
        }
      }
      {
        name: 'deny-all-else'
        properties: {
          description: 'The default rules would let the whole network in, on every port.'
          access: 'Deny'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

// No rule of its own: the default ones keep the internet out, and the platform needs traffic within the subnet.
resource functionsRules 'Microsoft.Network/networkSecurityGroups@2024-07-01' = {
  name: 'nsg-${base}-functions'
  location: location
  tags: tags
  properties: {
    securityRules: []
  }
}

resource virtualNetwork 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: 'vnet-${base}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressSpace
      ]
    }
    subnets: [
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '${prefix}.0/26'
          networkSecurityGroup: {
            id: endpointsRules.id
          }
          // Without it the rules above would not hold for private endpoints.
          privateEndpointNetworkPolicies: 'Enabled'
          defaultOutboundAccess: false
        }
      }
      {
        name: 'functions'
        properties: {
          addressPrefix: '${prefix}.64/26'
          networkSecurityGroup: {
            id: functionsRules.id
          }
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
          // The function app's storage lets this subnet in, where it has no private endpoint.
          serviceEndpoints: [
            {
              service: 'Microsoft.Storage'
            }
          ]
        }
      }
    ]
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }

  resource functions 'subnets' existing = {
    name: 'functions'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for zoneName in (isPrivate ? zoneNames : []): {
  name: zoneName
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (zoneName, index) in (isPrivate ? zoneNames : []): {
  parent: zones[index]
  name: virtualNetwork.name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: virtualNetwork.id
    }
  }
}]

resource networkDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: virtualNetwork
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

resource endpointsRulesDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: endpointsRules
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

resource functionsRulesDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: functionsRules
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

@description('Resource id of the subnet of the private endpoints.')
output endpointsSubnetId string = virtualNetwork::endpoints.id

@description('Resource id of the subnet that the function app reaches out from.')
output functionsSubnetId string = virtualNetwork::functions.id
