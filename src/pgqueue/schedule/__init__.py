"""When a schedule fires, and which jobs it makes: neither a server nor a clock is needed here.

``grammar``: what an expression may say. ``zone``: wall clocks and instants. ``when``: the slots of
an expression or an interval. ``misfire``: which slots get a job when some are late.
``settings``: what a row of the table ``schedule`` says. ``code``: what an app declares.
"""
