metadata description = 'The compute cluster that pipelines run on. It has no node, and costs nothing, while nobody works.'

@description('Name of the workspace.')
param workspaceName string

@description('Name of the cluster.')
param name string

@description('Region of the resources.')
param location string

@description('Tags of the resources.')
param tags object

@description('Size of the nodes; Azure keeps it as long as the cluster exists.')
param size string

@description('Most nodes.')
@minValue(1)
@maxValue(100)
param maximum int

@description('LowPriority costs a fraction and may be taken away; Dedicated stays. Azure keeps it as long as the cluster exists.')
@allowed([
  'Dedicated'
  'LowPriority'
])
param priority string

@description('Minutes without work after which a node goes.')
@minValue(2)
@maxValue(120)
param idleMinutes int

@description('Resource id of the identity that jobs run as.')
param identityId string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2025-06-01' = {
  parent: workspace
  name: name
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      vmSize: size
      vmPriority: priority
      // In the managed network of the workspace, nodes need no address of their own.
      enableNodePublicIp: false
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        minNodeCount: 0
        maxNodeCount: maximum
        nodeIdleTimeBeforeScaleDown: 'PT${idleMinutes}M'
      }
    }
  }
}

@description('Name of the cluster, as jobs name it.')
output name string = cluster.name
