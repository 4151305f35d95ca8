metadata description = 'A role for each persona of the team, differing by environment. The table is persona-roles.json.'

@description('The environment.')
@allowed([
  'dev'
  'test'
  'prod'
])
param environment string

@description('Title of the project; role names begin with it.')
param title string

@description('Object ids of the Entra groups by persona. An empty or missing one has no access.')
param groups object

@description('Name of the storage account that data operations are allowed in.')
param storageName string

// Approving. Azure has one operation of its own for it, workspaces/assets/stage/write, which sets the stage of a
// model version; only modelValidators hold it. Tags, which champion and challenger are, have none: whoever may
// write a model version (workspaces/models/versions/write) registers versions and edits their tags. So in dev,
// where data scientists register models, they can write any tag. In test and prod modelValidators alone hold it
// among people; there the pipelines register and promote, after the gates and the reviewers of the environment.
// The identity of jobs registers models everywhere, which Azure cannot tell from tagging either.
var table = loadJsonContent('persona-roles.json')
var personas = [
  'domainExperts'
  'dataEngineers'
  'dataScientists'
  'aiEngineers'
  'modelValidators'
  'mlEngineers'
]
var noGroups = {
  domainExperts: ''
  dataEngineers: ''
  dataScientists: ''
  aiEngineers: ''
  modelValidators: ''
  mlEngineers: ''
}
var groupOf = union(noGroups, groups)

module roles 'persona-role.bicep' = [
  for persona in personas: {
    name: 'persona-${persona}'
    params: {
      environment: environment
      title: title
      key: persona
      persona: table[persona]
      groupId: groupOf[persona]
      storageName: storageName
    }
  }
]
