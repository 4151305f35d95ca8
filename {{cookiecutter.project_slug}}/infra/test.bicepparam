using './main.bicep'

// Like prod, with one copy of the data and a smaller cluster.
param environment = 'test'
param network = '{{ cookiecutter.network }}'
param batchScoring = {{ 'false' if cookiecutter.serving == 'online' else 'true' }}

param clusterSize = 'Standard_DS3_v2'
param clusterMaximum = 2
param clusterPriority = 'Dedicated'
param clusterIdleMinutes = 10
param containerRegistrySku = 'Standard'
param storageSku = 'Standard_ZRS'
param logRetentionDays = 30
param softDeleteDays = 14
param monthlyBudget = 300
param lockResources = false

// Object ids of Entra groups: az ad group show --group NAME --query id --output tsv
param groups = {
  domainExperts: ''
  dataEngineers: ''
  dataScientists: ''
  aiEngineers: ''
  modelValidators: ''
  mlEngineers: ''
}

param ciProvider = '{{ cookiecutter.ci_provider }}'
// Who signs in as CI: docs/infrastructure.md says what to write here.
param ciSubject = ''
param productionData = '{{ cookiecutter.production_data }}'
