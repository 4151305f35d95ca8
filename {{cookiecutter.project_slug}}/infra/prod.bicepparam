using './main.bicep'

// The secure defaults: nodes that stay, data in several zones, long retention, nothing deleted by mistake.
param environment = 'prod'
param network = '{{ cookiecutter.network }}'
param onlineScoring = {{ 'false' if cookiecutter.serving == 'batch' else 'true' }}
param batchScoring = {{ 'false' if cookiecutter.serving == 'online' else 'true' }}

param clusterSize = 'Standard_D4ds_v4'
param clusterMaximum = 4
param clusterPriority = 'Dedicated'
param clusterIdleMinutes = 10
param containerRegistrySku = 'Premium'
param storageSku = 'Standard_ZRS'
param logRetentionDays = 90
param logDailyGb = 5
param logReads = true
param softDeleteDays = 90
param purgeProtection = true
param monthlyBudget = {{ '1500' if cookiecutter.network == 'managed-vnet' else '1000' }}
param lockResources = true

// Object ids of Entra groups: az ad group show --group NAME --query id --output tsv
param groups = {
  domainExperts: ''
  dataEngineers: ''
  dataScientists: ''
  aiEngineers: ''
  modelValidators: ''
  mlEngineers: ''
}

param ciProvider = '{{ 'azure-devops' if cookiecutter.ci_provider == 'azure-devops' else 'github-actions' }}'
// Who signs in as CI: docs/infrastructure.md says what to write here.
param ciSubject = ''
param productionData = '{{ cookiecutter.production_data }}'
// A masked replica goes to the storage of dev (output storageId there), without what these columns hold.
param replicaStorageId = ''
param maskedColumns = []
