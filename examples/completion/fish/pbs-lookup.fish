# fish completion of pbs-lookup: see pbs-filter.fish, beside this.
source (status dirname)/pbs-filter.fish
