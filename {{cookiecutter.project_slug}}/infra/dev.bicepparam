using './main.bicep'

// Relaxed against test and prod: one copy of the data, a cheap registry, a vault that can be deleted for good.
param environment = 'dev'
param network = '{{ cookiecutter.network }}'
param onlineScoring = {{ 'false' if cookiecutter.serving == 'batch' else 'true' }}
param batchScoring = {{ 'false' if cookiecutter.serving == 'online' else 'true' }}

param clusterSize = 'Standard_D4ds_v4'
param clusterMaximum = 2
param clusterPriority = 'Dedicated'
param clusterIdleMinutes = 10
param containerRegistrySku = 'Basic'
param storageSku = 'Standard_LRS'
param logRetentionDays = 30
param logDailyGb = 1
param logReads = false
param softDeleteDays = 7
param purgeProtection = false
param monthlyBudget = {{ '900' if cookiecutter.network == 'managed-vnet' else '300' }}
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

param ciProvider = '{{ 'azure-devops' if cookiecutter.ci_provider == 'azure-devops' else 'github-actions' }}'
// Who signs in as CI: docs/infrastructure.md says what to write here.
param ciSubject = ''
// Who retrains here after a breach in prod: output trainingPrincipalId there. Rows leave prod then, so an administrator decides it.
param retrainerPrincipalId = ''
param productionData = '{{ cookiecutter.production_data }}'
