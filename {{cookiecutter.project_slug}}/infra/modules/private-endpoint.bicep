metadata description = 'One private endpoint, and the DNS records by which its target is found in the virtual network.'

@description('Name of the target; the endpoint is called after it.')
param targetName string

@description('Resource id of what the endpoint leads to.')
param targetId string

@description('Part of the target, such as blob, vault, registry or amlworkspace.')
param groupId string

@description('Names of the private DNS zones that take the records; modules/network.bicep makes them.')
param zoneNames array

@description('Region of the resources.')
param location string

@description('Tags of the resources.')
param tags object

@description('Resource id of the subnet of the private endpoints.')
param subnetId string

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' existing = [for zoneName in zoneNames: {
  name: zoneName
}]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-07-01' = {
  name: 'pep-${targetName}-${groupId}'
  location: location
  tags: tags
  properties: {
    customNetworkInterfaceName: 'nic-${targetName}-${groupId}'
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }

  resource records 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [for (zoneName, index) in zoneNames: {
        name: replace(zoneName, '.', '-')
        properties: {
          privateDnsZoneId: zones[index].id
        }
      }]
    }
  }
}
