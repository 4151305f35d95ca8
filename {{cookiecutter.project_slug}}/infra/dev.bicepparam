using './main.bicep'

// Relaxed against test and prod: nodes that may be taken away, one copy of the data, a cheap registry.
param environment = 'dev'
param network = '{{ cookiecutter.network }}'
param batchScoring = {{ 'false' if cookiecutter.serving == 'online' else 'true' }}

param clusterSize = 'Standard_DS3_v2'
param clusterMaximum = 2
param clusterPriority = 'LowPriority'
param clusterIdleMinutes = 10
param containerRegistrySku = 'Basic'
param storageSku = 'Standard_LRS'
param logRetentionDays = 30
param softDeleteDays = 7
param monthlyBudget = 200
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
