metadata description = 'The roles of all projects of an organization, defined once, by an Owner of the subscription: a tenant has room for 5,000, and a project alone takes nine for each environment.'

targetScope = 'subscription'

@description('Ids of further subscriptions whose projects assign the roles. The deployment takes an Owner of each.')
param otherSubscriptions array = []

var project = loadYamlContent('../conf/project.yml')
var environments = [
  'dev'
  'test'
  'prod'
]
var others = [for id in otherSubscriptions: '/subscriptions/${id}']

module roles 'modules/organization-roles.bicep' = [
  for environment in environments: {
    name: 'roles-${project.organization}-${environment}'
    params: {
      organization: project.organization
      environment: environment
      scopes: union([subscription().id], others)
    }
  }
]
