# Runs every .test file beside it: `tclsh f5-irule/bench/tests/all.tcl ?tcltest options?`. Ends 1 when a test failed or a file broke.
package require tcltest 2
namespace import ::tcltest::*
set here [file dirname [file normalize [info script]]]
::tcltest::configure -testdir $here -singleproc 0 {*}$argv
set broken [runAllTests]
exit $broken
