"""The DAG as a pipeline of a CI system: jobs of nodes, and the files of GitLab, GitHub, make and bake."""

from imagematrix.planning.pipeline.jobs import Pipeline, PipelineJob, make, missing, references

__all__ = ["Pipeline", "PipelineJob", "make", "missing", "references"]
