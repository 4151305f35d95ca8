metadata description = 'The roles of one environment, for all projects of an organization. Projects assign them in their own resource groups, where conditions hold them to their own storage.'

targetScope = 'subscription'

@description('Code of the organization.')
param organization string

@description('The environment: what of each table counts.')
@allowed([
  'dev'
  'test'
  'prod'
])
param environment string

@description('Resource ids of the subscriptions in which the roles can be assigned.')
param scopes array

var people = loadJsonContent('persona-roles.json')
var identities = loadJsonContent('identity-roles.json')
var personas = [
  'domainExperts'
  'dataEngineers'
  'dataScientists'
  'aiEngineers'
  'modelValidators'
  'mlEngineers'
]
var acting = [
  'training'
  'events'
  'whatIf'
]

resource personaRoles 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for key in personas: {
    // As persona-role.bicep and identity-roles.bicep name it.
    name: guid(organization, environment, key)
    properties: {
      roleName: '${organization} ${environment}: ${people[key].title}'
      description: people[key].what
      type: 'CustomRole'
      permissions: [
        {
          actions: concat(people[key].everywhere, people[key][environment])
          notActions: []
          dataActions: concat(people[key].dataActions.everywhere, people[key].dataActions[environment])
          notDataActions: []
        }
      ]
      assignableScopes: scopes
    }
  }
]

resource identityRoles 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for key in acting: {
    name: guid(organization, environment, key)
    properties: {
      roleName: '${organization} ${environment}: ${identities[key].title}'
      description: identities[key].what
      type: 'CustomRole'
      permissions: [
        {
          actions: identities[key].everywhere
          notActions: []
          dataActions: []
          notDataActions: []
        }
      ]
      assignableScopes: scopes
    }
  }
]
