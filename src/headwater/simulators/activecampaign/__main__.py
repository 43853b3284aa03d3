"""`python -m headwater.simulators.activecampaign`."""

from headwater.simulators.activecampaign.command import command

command()
