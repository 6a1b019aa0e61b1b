// There is one machine, and one driver in it.
[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]
