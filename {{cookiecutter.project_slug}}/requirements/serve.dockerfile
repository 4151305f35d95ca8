# The Azure ML environment `serve`. The build context is this folder. The image starts the inference
# server; Python is that of train.dockerfile, because a model holds functions compiled by it.
FROM mcr.microsoft.com/azureml/minimal-py312-inference:latest
USER dockeruser
ENV AZUREML_CONDA_ENVIRONMENT_PATH=/opt/miniconda/envs/serve
RUN conda create --yes --prefix $AZUREML_CONDA_ENVIRONMENT_PATH python=3.11 pip && conda clean --all --yes
ENV PATH=$AZUREML_CONDA_ENVIRONMENT_PATH/bin:$PATH
ENV LD_LIBRARY_PATH=$AZUREML_CONDA_ENVIRONMENT_PATH/lib:$LD_LIBRARY_PATH
COPY serve.txt modelyard.txt /tmp/requirements/
COPY wheels /tmp/requirements/wheels
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements/serve.txt --requirement /tmp/requirements/modelyard.txt
