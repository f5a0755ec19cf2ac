"""A shop: orders by HTTP, receipts by jobs."""
