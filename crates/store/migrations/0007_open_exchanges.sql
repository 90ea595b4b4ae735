-- Few exchanges are open at any time, and each query opens and closes one: looking through them costs less than an index to keep.
DROP INDEX exchange_open_touched;
