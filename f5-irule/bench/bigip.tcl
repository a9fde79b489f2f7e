# An emulated BIG-IP: a virtual server on loopback with rules on it, a pool behind it, a log pool beside it.
#
#     tclsh f5-irule/bench/bigip.tcl --rule FILE --origin HOST:PORT --log-pool NAME=HOST:PORT --data-group FILE …
#
# In: see `usage`. Out: `listening HTTP_PORT control=CONTROL_PORT` on stdout once clients are taken, log lines of the rules on
# stderr; ends 2 when a rule would not load, with the reasons. Runs until it is ended. Needs Debian's tcl and tcllib-critcl,
# and tcl-udp when records go by UDP.

namespace eval ::bigip {
    variable here [file dirname [file normalize [info script]]]
    variable usage "usage: bigip.tcl --rule FILE… --origin HOST:PORT \[options\]
  --rule FILE               a rule; repeated, they run in this order where priorities are equal
  --check                   only says whether the rules would load
  --tmms N                  how many TMMs (1)
  --origin HOST:PORT        the pool member
  --route PREFIX=HOST:PORT  another one, for paths that begin so
  --log-pool NAME=HOST:PORT a log pool
  --hsl-connections N       TCP connections of each TMM to a log pool (1)
  --data-group \[NAME=\]FILE  lines of `name value` (NAME, without /Common/: silhouette_settings)
  --virtual NAME, --pool-name NAME, --hostname NAME, --version TMOS
  --chunking preserve|selective   the HTTP profile: what rules see of chunked bodies (selective)
  --release fires|silent    does HTTP::release of a collect under way fire the data event? (fires)
  --broken fires|silent     does a server that breaks off while a rule collects fire the data event? (fires)
  --interim fires|silent    do answers such as 103 fire the events of an answer? (silent)
  --interim fires|silent    do answers such as 103 fire the events of an answer? (silent)
  --http2                   variables and HTTP::version as on an HTTP/2 virtual server before 14.1
  --tls NAME=VALUE,…        clientssl facts: version, cipher, bits, sni, cert (ok or bad)
  --oneconnect              server connections are shared
  --compress                an HTTP compression profile: clients that take gzip get it
  --compress                an HTTP compression profile: clients that take gzip get it
  --cache PREFIX            RAM cache for paths that begin so
  --port N                  (0: any)"

    foreach part {tables parse check message chunks tmm commands flow compress answers context hsl control} { source [file join $here $part.tcl] }

    proc address {text what} {
        if {![regexp {^(.+):([0-9]{1,5})$} $text _ host port]} { fail "$what $text: must be HOST:PORT" }
        return [list [string trim $host {[]}] $port]
    }
    proc fail {message} {
        puts stderr $message
        exit 2
    }
    proc read_file {path} {
        if {[catch { open $path rb } channel]} { fail $channel }
        set text [read $channel]
        close $channel
        return $text
    }
    proc one_of {option value allowed} {
        if {$value ni $allowed} { fail "$option $value: must be one of [join $allowed {, }]" }
        return $value
    }
    proc number {option value} {
        if {![string is integer -strict $value] || $value < 0} { fail "$option $value: must be a number" }
        return $value
    }

    # Data-group entries: `name value` per line; blank lines and those that begin with # are skipped.
    proc entries {text} {
        set entries {}
        foreach line [split $text \n] {
            set line [string trim $line]
            if {$line eq "" || [string index $line 0] eq "#"} { continue }
            regexp {^(\S+)\s*(.*)$} $line _ name value
            lappend entries [list $name $value]
        }
        return $entries
    }

    proc main {arguments} {
        variable usage
        set rules {}
        set tmms 1
        set port 0
        set only_check 0
        set hostname bigip-1.example.com
        set version 16.1.4
        while {[llength $arguments]} {
            set arguments [lassign $arguments option]
            switch -- $option {
                --check { set only_check 1; continue }
                --http2 {
                    set ::flow::config(http2) 1
                    set ::commands::http2 1
                    continue
                }
                --oneconnect { set ::flow::config(oneconnect) 1; continue }
                --compress { set ::flow::config(compress) 1; continue }
                --compress { set ::flow::config(compress) 1; continue }
                --help { puts $usage; exit 0 }
            }
            if {![llength $arguments]} { fail "$option: a value is missing\n$usage" }
            set arguments [lassign $arguments value]
            switch -- $option {
                --rule { lappend rules [list /Common/[file rootname [file tail $value]] [read_file $value]] }
                --tmms { set tmms [number $option $value] }
                --port { set port [number $option $value] }
                --origin { set ::flow::config(origin) [address $value $option] }
                --route {
                    if {![regexp {^([^=]+)=(.+)$} $value _ prefix target]} { fail "$option $value: must be PREFIX=HOST:PORT" }
                    lappend ::flow::config(routes) $prefix [address $target $option]
                }
                --log-pool {
                    if {![regexp {^([^=]+)=(.+)$} $value _ name target]} { fail "$option $value: must be NAME=HOST:PORT" }
                    set ::hsl::pools([::hsl::plain $name]) [address $target $option]
                }
                --hsl-connections { set ::hsl::width [number $option $value] }
                --data-group {
                    set name silhouette_settings
                    regexp {^([^=/][^=]*)=(.+)$} $value _ name value
                    set ::commands::groups($name) [entries [read_file $value]]
                }
                --virtual { set ::commands::virtual $value }
                --pool-name { set ::flow::config(pool) $value }
                --hostname { set hostname $value }
                --version { set version $value }
                --chunking { set ::flow::config(chunking) [one_of $option $value {preserve selective}] }
                --release { set ::flow::config(release) [one_of $option $value {fires silent}] }
                --interim { set ::flow::config(interim) [one_of $option $value {fires silent}] }
                --broken { set ::flow::config(broken) [one_of $option $value {fires silent}] }
                --interim { set ::flow::config(interim) [one_of $option $value {fires silent}] }
                --tls {
                    foreach fact [split $value ,] {
                        if {![regexp {^([a-z]+)=(.*)$} $fact _ name text]} { fail "$option $fact: must be NAME=VALUE" }
                        dict set ::commands::tls $name $text
                    }
                }
                --cache { set ::flow::config(cache) $value }
                default { fail "$option: unknown\n$usage" }
            }
        }
        if {![llength $rules]} { fail $usage }
        if {$only_check} {
            set bad 0
            foreach rule $rules {
                lassign $rule name text
                foreach message [::check::messages $text $version] {
                    puts stderr "Rule $name: $message"
                    set bad 1
                }
            }
            exit [expr {$bad ? 2 : 0}]
        }
        if {[catch { package require tcllibc } problem]} { fail "tcllibc is missing (Debian: tcllib-critcl): $problem" }
        set platform [list osVersion $version tmmVersion $version machine $hostname platform unix os Linux]
        if {[catch { ::tmm::start $tmms $rules $version $platform } problem options]} {
            if {[dict get $options -errorcode] ne "REFUSED"} { return -options $options $problem }
            fail $problem
        }
        set server [socket -server ::flow::accept -myaddr 127.0.0.1 $port]
        set control [socket -server ::control::accept -myaddr 127.0.0.1 0]
        puts "listening [lindex [fconfigure $server -sockname] 2] control=[lindex [fconfigure $control -sockname] 2]"
        flush stdout
    }
}

# An error of the bench itself: said, and the end, for what it would answer then is worth nothing.
proc bgerror {message} {
    puts stderr "bench: $::errorInfo"
    exit 3
}
interp bgerror {} ::bigip_broken
proc bigip_broken {message options} {
    puts stderr "bench: [dict get $options -errorinfo]"
    exit 3
}

if {[info exists argv0] && [file normalize $argv0] eq [file normalize [info script]]} {
    ::bigip::main $argv
    vwait forever
}
