"""The bureau as it is organised: agencies, their units, who supervises whom, officers."""
