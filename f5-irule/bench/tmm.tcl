# TMMs: one restricted interpreter each, with the rules loaded in it.
#
# In: checked rules, events of connections (::flow), what is configured. Out: the rules run, in the order of their priorities,
# with the commands of ::commands and no others; what they leave in static:: stays with the TMM. Never gives a rule a command or
# a subcommand that Tcl 8.4.6 and iRules do not have, and never lets an error of a rule pass unnoticed: it is logged, counted,
# and told to the caller, who resets the connection as BIG-IP does.
#
# A connection's variables live in a namespace of its own; each event's script is a procedure that is linked to them, so
# that a variable set in one event is there in the next, and nothing is global.

namespace eval ::tmm {
    # What runs now: TMM, connection, event, rule; all empty between events.
    variable now ""
    variable flow ""
    variable event ""
    variable rule ""
    # event -> list of {procedure rule}, in the order of priority; the same for every TMM.
    variable handlers
    array set handlers {}
    variable names {}
    variable count 0
    variable scripts
    array set scripts {}
    # Violations by message: what a real BIG-IP would have refused, whether the rule caught the error or not.
    variable violations
    array set violations {}
    variable errors 0
    variable spoken 0

    # Loads rules, a list of {name text}, into `amount` TMMs. An error when one of them would not load.
    proc start {amount rules version platform} {
        variable count $amount
        variable handlers
        variable names
        set order {}
        set procs {}
        set index 0
        foreach rule $rules {
            lassign $rule name text
            lassign [::check::rule $text $version] faults events own variables
            if {[llength $faults]} {
                set lines [lmap message [::check::messages $text $version] {string cat "Rule $name: " $message}]
                return -code error -errorcode REFUSED [join $lines \n]
            }
            lappend names $name
            foreach one $own { lappend procs [list $index {*}$one] }
            set links {}
            foreach variable $variables { append links " \${ns}::$variable $variable" }
            if {$links ne ""} { set links "::bench::upvar #0$links" }
            set nth 0
            foreach one $events {
                lassign $one event priority body
                lappend order [list $priority $index $nth $event "$links\n$body"]
                incr nth
            }
            set ::tmm::links($index) $links
            incr index
        }
        array unset handlers
        set order [lsort -integer -index 0 [lsort -integer -index 1 [lsort -integer -index 2 $order]]]
        for {set tmm 0} {$tmm < $amount} {incr tmm} {
            restrict $tmm $platform
            foreach one $procs {
                lassign $one index name arguments body
                interp invokehidden tmm$tmm proc ::rule$index\_$name $arguments $body
            }
            set nth 0
            foreach one $order {
                lassign $one priority index _ event body
                interp invokehidden tmm$tmm proc ::bench_event$nth ns $body
                if {$tmm == 0} { lappend handlers($event) [list ::bench_event$nth $index] }
                incr nth
            }
        }
        for {set tmm 0} {$tmm < $amount} {incr tmm} {
            if {![fire $tmm "" RULE_INIT ::]} { return -code error -errorcode REFUSED "RULE_INIT failed" }
        }
    }

    proc stop {} {
        variable count
        variable names {}
        variable violations
        variable scripts
        for {set tmm 0} {$tmm < $count} {incr tmm} { catch { interp delete tmm$tmm } }
        set count 0
        array unset violations
        array unset scripts
    }

    # An interpreter with what an iRule has, and nothing else.
    proc restrict {tmm platform} {
        set child [interp create -safe tmm$tmm]
        set all [interp eval $child {info commands}]
        # Ensembles keep only what Tcl 8.4.6 had.
        foreach name {string info array binary} {
            set map [interp eval $child [list namespace ensemble configure ::$name -map]]
            set kept {}
            foreach {sub command} $map {
                if {$sub in [lindex $::tables::core($name) 1]} { lappend kept $sub $command }
            }
            interp eval $child [list namespace ensemble configure ::$name -map $kept -prefixes 0]
        }
        interp eval $child {
            namespace eval ::bench {}
            namespace eval ::static {}
            rename ::upvar ::bench::upvar
            rename ::uplevel ::bench::uplevel
            # Unlike Tcl 8.5 and later, 8.4 does not begin with 0 (https://www.tcl.tk/man/tcl8.4/TclCmd/incr.html).
            proc ::bench::incr {name {by 1}} {
                ::bench::upvar 1 $name counter
                if {![info exists counter]} {
                    ::bench::unset_incr $name
                    return -code error "can't read \"$name\": no such variable"
                }
                set counter [expr {$counter + $by}]
            }
            # A proc of the same rule; the caller's rule is a prefix the bench puts there.
            proc ::bench::call {name args} {
                ::bench::uplevel 1 [linsert $args 0 ::rule[::bench::rule]_[string map {:: _} $name]]
            }
        }
        foreach name [lsearch -all -inline -not -regexp $all {^(upvar|uplevel)$}] {
            if {![info exists ::tables::core($name)] || $name in {incr clock proc}} { interp hide $child $name }
        }
        interp eval $child [list set ::static::child 1]
        interp invokehidden $child rename ::bench::incr ::incr
        interp invokehidden $child rename ::bench::call ::call
        interp alias $child ::bench::unset_incr {} ::tmm::unset_incr
        interp alias $child ::bench::rule {} ::tmm::current_rule
        interp alias $child clock {} ::commands::clock
        foreach name [array names ::tables::row] {
            if {$name eq "call"} { continue }
            if {[string match *::* $name]} {
                interp invokehidden $child namespace eval ::[namespace qualifiers $name] {}
            }
            interp alias $child ::$name {} ::commands::run $name
        }
        interp eval $child [list array set ::static::tcl_platform $platform]
        interp eval $child { unset ::static::child }
    }

    proc unset_incr {name} { violation "incr of $name, which is not set: Tcl 8.4.6 has no value to begin with" }
    proc current_rule {} { return $::tmm::rule }

    # Something a BIG-IP would not have done.
    proc violation {message} {
        variable violations
        variable event
        variable names
        variable rule
        set whole "[expr {$rule eq "" ? "" : "Rule [lindex $names $rule] "}]<$event>: $message"
        if {[info exists violations($whole)]} { incr violations($whole) } else { set violations($whole) 1 }
    }

    # Runs an event of a connection through all rules; 0 when a rule failed, and the connection must be reset.
    proc fire {tmm flow event ns} {
        variable handlers
        if {![info exists handlers($event)]} { return 1 }
        foreach handler $handlers($event) {
            lassign $handler procedure index
            if {$flow ne "" && [::flow::disabled $flow $event]} { return 1 }
            if {![run $tmm $flow $event $index $procedure $ns]} { return 0 }
        }
        return 1
    }

    proc run {tmm id name index procedure ns} {
        variable now
        variable flow
        variable event
        variable rule
        set before [list $now $flow $event $rule]
        set now $tmm
        set flow $id
        set event $name
        set rule $index
        set failed [catch { interp eval tmm$tmm [list $procedure $ns] } message]
        if {$failed == 1} {
            variable errors
            incr errors
            say "TCL error: $message"
        }
        lassign $before now flow event rule
        expr {$failed != 1}
    }

    # A script that was left behind with `after`: it runs with the variables of its event.
    proc later {tmm id name index script ns} {
        variable scripts
        variable links
        if {![info exists scripts($index,$script)]} {
            set procedure ::bench_after[array size scripts]
            set scripts($index,$script) $procedure
            variable count
            for {set each 0} {$each < $count} {incr each} {
                interp invokehidden tmm$each proc $procedure ns "$links($index)\n$script"
            }
        }
        run $tmm $id $name $index $scripts($index,$script) $ns
    }

    # A namespace for the variables of a connection (or of a stream), and its end.
    proc open_space {tmm ns} { interp invokehidden tmm$tmm namespace eval $ns {} }
    proc close_space {tmm ns} { catch { interp invokehidden tmm$tmm namespace delete $ns } }

    # A line of the rule's log, as /var/log/ltm has it.
    proc say {text} {
        variable names
        variable rule
        variable event
        variable now
        incr ::tmm::spoken
        set name [expr {$rule eq "" ? "" : [lindex $names $rule]}]
        puts stderr "tmm$now: Rule $name <$event>: [string map {\n \\n} $text]"
        flush stderr
    }
}
