#!/bin/sh
# sbatch slurm.sh: four nodes of SLURM, each with an engine, build for eight hours.
#SBATCH --job-name=imagematrix
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
exec srun imagematrix worker tls://coordinator.example.com:8786 --jobs 8 --certificates "$HOME/cluster"
