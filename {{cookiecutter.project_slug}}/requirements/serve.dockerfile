# The Azure ML environment `serve`. The build context is this folder. The image has Python 3.12 in /azureml-envs/minimal, first on
# its path, and starts the inference server from there; there is no conda in the build, which has hosts of its own.
# The digest is one that Microsoft pins (microsoft/physical-ai-toolchain, 2026); it was not pulled where this template was written.
# The newest: docker buildx imagetools inspect mcr.microsoft.com/azureml/minimal-py312-inference:latest
FROM mcr.microsoft.com/azureml/minimal-py312-inference@sha256:cfb7101d17e0d397f9369639b9873282c9ea386c709c434bb0100745f647c6c0
USER root
# The image brings packages of its own, in other versions.
RUN python -m pip freeze > /tmp/brought.txt && python -m pip uninstall --yes --quiet --requirement /tmp/brought.txt
COPY serve.txt modelyard.txt /tmp/requirements/
COPY wheels /tmp/requirements/wheels
RUN python -m pip install --no-cache-dir --require-hashes --requirement /tmp/requirements/serve.txt --requirement /tmp/requirements/modelyard.txt
USER dockeruser
