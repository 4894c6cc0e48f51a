module github.com/keytray/keytray/bench

go 1.26.0
