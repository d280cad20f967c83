"""One page of HTML for people. `areas` lays out the chart of what takes the room; pure."""
