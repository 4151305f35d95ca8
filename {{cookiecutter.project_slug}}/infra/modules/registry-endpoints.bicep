metadata description = 'Private endpoints to the organization\'s registry of models, and to what Azure keeps for it, in the network of the environment.'

@description('Resource ids of the registry, of storage accounts and of container registries.')
param targetIds array

@description('Region of the resources.')
param location string

@description('Tags of the resources.')
param tags object

@description('Resource id of the subnet of the private endpoints. Azure wants these beside that of the workspace.')
param endpointsSubnetId string

@description('Resource id of the resource group with the private DNS zones; or policy, where a policy writes the records.')
param privateDnsZones string

// What environment() does not have of each of Azure's clouds.
var clouds = loadJsonContent('clouds.json')
// By the provider in the id: which part is reached, and the zone that takes the records.
var parts = {
  'microsoft.machinelearningservices': {
    group: 'amlregistry'
    zone: clouds[environment().name].workspace
  }
  'microsoft.storage': {
    group: 'blob'
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  'microsoft.containerregistry': {
    group: 'registry'
    zone: 'privatelink${environment().suffixes.acrLoginServer}'
  }
}

module endpoints 'private-endpoint.bicep' = [
  for targetId in targetIds: {
    name: 'registry-endpoint-${uniqueString(targetId)}'
    params: {
      targetName: last(split(targetId, '/'))
      targetId: targetId
      groupId: parts[toLower(split(targetId, '/')[6])].group
      zoneNames: [
        parts[toLower(split(targetId, '/')[6])].zone
      ]
      location: location
      tags: tags
      subnetId: endpointsSubnetId
      privateDnsZones: privateDnsZones
    }
  }
]
