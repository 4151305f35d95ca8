using './organization.bicep'

// Ids of subscriptions besides that of the deployment: az account list --query "[].{name:name, id:id}" --output table
param otherSubscriptions = []
