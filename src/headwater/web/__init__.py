"""The pages; they ask control and reports, nothing else."""
