module github.com/keytray/keytray

go 1.26
