# The suite on CPUs, with the data of the default run, for machines without a network:
#
#     docker build -t otbench .
#     docker run --rm --network none -v "$PWD/results:/work/results" otbench run --methods all
#
# Results belong to the user 1000; to have them under your own name, make the folder first and add
# `--user "$(id -u)"`.
FROM python:3.11-slim

# Address of an index with builds of torch without CUDA, which are much smaller; none: the default.
ARG TORCH_INDEX=""

WORKDIR /suite
COPY . .
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-cache-dir -c constraints.txt --index-url "$TORCH_INDEX" torch; \
    fi \
    && pip install --no-cache-dir -c constraints.txt '.[all]'

RUN useradd --create-home --uid 1000 otbench \
    && install --directory --mode 777 --owner otbench /work /work/results \
    && install --directory --owner otbench /cache
USER otbench
WORKDIR /work
ENV OTBENCH_HOME=/cache MPLCONFIGDIR=/tmp

# Everything is fetched now, checked by its digest; afterwards the network is never used.
RUN otbench data fetch
ENV OTBENCH_OFFLINE=1

ENTRYPOINT ["otbench"]
CMD ["run", "--preset", "smoke"]
