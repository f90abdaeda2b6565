"""What runs: assets, checks, jobs, sensors and the schedule; how stands in `orchestration.lib`."""
