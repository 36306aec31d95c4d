"""Schedules: pipelines that are run again and again, at times that a cron expression or an interval gives."""
