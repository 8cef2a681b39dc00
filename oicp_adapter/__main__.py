"""`python -m oicp_adapter` is `oicp-adapter`."""

from oicp_adapter.cli.main import main

main()
