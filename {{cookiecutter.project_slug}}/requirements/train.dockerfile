# The Azure ML environment `train`. The build context is this folder.
FROM mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04
ENV AZUREML_CONDA_ENVIRONMENT_PATH=/azureml-envs/train
RUN conda create --yes --prefix $AZUREML_CONDA_ENVIRONMENT_PATH python=3.11 pip && conda clean --all --yes
ENV PATH=$AZUREML_CONDA_ENVIRONMENT_PATH/bin:$PATH
COPY cloud.txt modelyard.txt /tmp/requirements/
COPY wheels /tmp/requirements/wheels
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements/cloud.txt --requirement /tmp/requirements/modelyard.txt
