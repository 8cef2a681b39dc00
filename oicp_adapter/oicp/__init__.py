"""OICP 2.3 as data: endpoints, wire messages, and what each answer means. Pure."""
