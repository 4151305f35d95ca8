# The Azure ML environment `train`. The build context is this folder. Image and Python are those of serve.dockerfile, which says
# more: a model holds functions compiled by it.
FROM mcr.microsoft.com/azureml/minimal-py312-inference@sha256:cfb7101d17e0d397f9369639b9873282c9ea386c709c434bb0100745f647c6c0
USER root
# The image brings packages of its own, in other versions.
RUN python -m pip freeze > /tmp/brought.txt && python -m pip uninstall --yes --quiet --requirement /tmp/brought.txt
COPY cloud.txt modelyard.txt /tmp/requirements/
COPY wheels /tmp/requirements/wheels
RUN python -m pip install --no-cache-dir --require-hashes --requirement /tmp/requirements/cloud.txt --requirement /tmp/requirements/modelyard.txt
